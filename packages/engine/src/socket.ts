import { chmod, chown, rm } from "node:fs/promises";
import type { Server } from "node:http";
import { connect } from "node:net";
import { DormiceError } from "@dormice/protocol";

/** Listens on a UNIX socket that only root and group `gid` can open. A second engine on the same socket is refused. */
export async function listen(server: Server, path: string, gid: number): Promise<void> {
	if (await answers(path))
		throw new DormiceError("already_running", `Another engine answers on ${path}. Stop it first: dormice down`);
	await rm(path, { force: true });
	// Nobody may open it before its group is set.
	const umask = process.umask(0o177);
	try {
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen(path, resolve);
		});
	} finally {
		process.umask(umask);
	}
	await chown(path, 0, gid);
	await chmod(path, 0o660);
}

function answers(path: string): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(path);
		socket.once("connect", () => {
			socket.destroy();
			resolve(true);
		});
		socket.once("error", () => resolve(false));
	});
}
