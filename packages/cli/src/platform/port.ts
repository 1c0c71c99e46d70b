import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { DormiceError } from "@dormice/protocol";
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

/** " by NAME (process N)", as far as `ss` can tell. */
async function listener(port: number, path: string): Promise<string> {
	const sockets = await run(["ss", "-Hltnp", `sport = :${port}`], { env: { PATH: path } }).catch(() => "");
	const match = /\(\("([^"]+)",pid=(\d+)/.exec(sockets);
	return match ? ` by ${match[1]} (process ${match[2]})` : "";
}
