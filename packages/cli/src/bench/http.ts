import { Agent, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError } from "@dormice/protocol";

export interface Target {
	host: string;
	port: number;
	headers?: Record<string, string>;
	/** Connections to use again; without, each request opens one. */
	agent?: Agent;
}

/** One GET to its last byte. Throws unless the answer is a 200. */
export function request({ host, port, headers = {}, agent }: Target): Promise<string> {
	return new Promise((resolve, reject) => {
		const call = get({ host, port, path: "/", headers, agent: agent ?? new Agent() }, (response) => {
			let body = "";
			response.setEncoding("utf8").on("data", (chunk) => {
				body += chunk;
			});
			response.on("end", () => {
				if (response.statusCode === 200) resolve(body);
				else reject(new DormiceError("internal", `HTTP ${response.statusCode}: ${body}`));
			});
			response.on("error", reject);
		});
		call.setTimeout(30_000, () => call.destroy(new DormiceError("deadline_exceeded", `${host}:${port} is silent`)));
		call.on("error", reject);
	});
}

/** The first answer of something that is just starting. */
export async function firstAnswer(target: Target, deadlineMs = 20_000): Promise<string> {
	const deadline = performance.now() + deadlineMs;
	for (;;) {
		try {
			return await request(target);
		} catch (error) {
			if (performance.now() > deadline) throw error;
			await sleep(2);
		}
	}
}
