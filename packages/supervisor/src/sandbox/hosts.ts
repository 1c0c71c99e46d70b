import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { openRegular, readSmall } from "../files/regular.ts";

/** Debian's address for a machine's own name. */
const OWN_ADDRESS = "127.0.1.1";

/** `/etc/hosts` with the sandbox's own name, in the place of the one it had before. Pure. */
export function withOwnName(hosts: string, hostname: string): string {
	const own = `${OWN_ADDRESS} ${hostname}`;
	const lines = hosts.split("\n");
	const at = lines.findIndex((line) => line.split(/\s+/, 1)[0] === OWN_ADDRESS);
	if (at >= 0) return lines.with(at, own).join("\n");
	return `${hosts}${hosts === "" || hosts.endsWith("\n") ? "" : "\n"}${own}\n`;
}

/** Has the sandbox's name found by who looks itself up: Git, Java and Python do, and waited for a name server. */
export async function writeOwnName(etc: string, hostname: string): Promise<void> {
	const path = join(etc, "hosts");
	const hosts = await readHosts(path);
	// One that is longer than that is not ours to copy.
	if (hosts === undefined) return;
	const wanted = withOwnName(hosts, hostname);
	if (wanted !== hosts) await writeFile(path, wanted);
}

/** Whoever is root inside may have put a FIFO there, and reading that would take for ever. */
async function readHosts(path: string): Promise<string | undefined> {
	try {
		await using opened = await openRegular(path);
		return (await readSmall(path, opened))?.toString("utf8");
	} catch (error) {
		if (error instanceof DormiceError && error.reason === "path_not_found") return "";
		throw error;
	}
}
