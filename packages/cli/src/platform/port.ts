import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { DormiceError } from "@dormice/protocol";
import { bestEffort } from "../best-effort.ts";
import { run } from "../command.ts";

/**
 * Makes sure that the server will be able to listen there, and answers the port: a free one of the system's
 * choice for port 0.
 */
export async function claimPort(port: number, listen: string, path: string): Promise<number> {
	const probe = createServer();
	try {
		probe.listen(port, listen);
		await once(probe, "listening");
		return (probe.address() as AddressInfo).port;
	} catch (cause) {
		const { code } = cause as NodeJS.ErrnoException;
		if (code !== "EADDRINUSE") {
			throw new DormiceError("invalid_argument", `Cannot listen on ${listen} port ${port} (${code}); choose --listen`, {
				cause,
			});
		}
		throw new DormiceError(
			"already_exists",
			`Port ${port} on ${listen} is taken${await listener(port, path)}; choose another with --port N, or any free one with --port 0`,
			{ cause },
		);
	} finally {
		if (probe.listening) {
			probe.close();
			await once(probe, "close");
		}
	}
}

/** " by NAME (process N)", or by which platform of ours, as far as can be told. */
async function listener(port: number, path: string): Promise<string> {
	const sockets = await run(["ss", "-Hltnp", `sport = :${port}`], { env: { PATH: path } }).catch(() => "");
	const [, name, pid = ""] = /\(\("([^"]+)",pid=(\d+)/.exec(sockets) ?? [];
	if (name === undefined) return "";
	const data = await platformOf(pid);
	return data === undefined ? ` by ${name} (process ${pid})` : ` by the platform of ${data} (process ${pid})`;
}

/** The data directory of the platform whose server a process is; undefined for any other. */
async function platformOf(pid: string): Promise<string | undefined> {
	const environment = await bestEffort("read a process's environment", readFile(`/proc/${pid}/environ`, "utf8"));
	const values = new Map((environment ?? "").split("\0").map((entry) => entry.split("=", 2) as [string, string]));
	return values.has("DORMICE_ENGINE_SOCKET") ? values.get("DORMICE_DATA") : undefined;
}
