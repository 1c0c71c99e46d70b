import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { PassThrough } from "node:stream";
import { DormiceError } from "@dormice/protocol";
import type { Execution, Sandbox } from "@dormice/sdk";

/** Into a directory that is there, else to be it; beside its place first, so that what is there is whole. */
const UNPACK = `set -e
to=$1 name=$2
if [ -d "$to" ]; then exec tar -x --no-same-owner -C "$to"; fi
parent=$(dirname -- "$to")
[ -d "$parent" ] || { echo "there is no directory $parent" >&2; exit 1; }
beside=$(mktemp -d -- "$parent/.dormice-cp.XXXXXX")
trap 'rm -rf -- "$beside"' EXIT
tar -x --no-same-owner -C "$beside"
mv -fT -- "$beside/$name" "$to"`;

/** Copies a file or directory into a sandbox, as it is: modes, links and times too. It belongs to the user there. */
export async function upload(sandbox: Sandbox, from: string, to: string, options: { user?: string }): Promise<void> {
	const source = resolve(from);
	if (!existsSync(source)) throw new DormiceError("path_not_found", `There is no ${from} here.`);
	const name = basename(source);
	const tar = spawn("tar", ["-c", "-C", dirname(source), "--", name], { stdio: ["ignore", "pipe", "inherit"] });
	const ended = once(tar, "close");
	// Read from the start: Node throws away what was not read of a child that has ended.
	const packed = tar.stdout.pipe(new PassThrough());
	const execution = sandbox.exec(["sh", "-c", UNPACK, "cp", to, name], { ...options, stdin: true });
	const [{ exitCode, stderr }] = await Promise.all([execution.result(), feed(execution, packed)]);
	const [code] = (await ended) as [number | null];
	if (exitCode !== 0) throw new DormiceError("command_failed", `It could not be written there: ${stderr.trim()}`);
	if (code !== 0) throw new DormiceError("command_failed", `Not all of ${from} could be read.`);
}

async function feed(execution: Execution, packed: AsyncIterable<Uint8Array>): Promise<void> {
	try {
		await execution.pid;
		await execution.writeAll(packed);
		await execution.closeStdin();
	} catch (error) {
		// It has ended, and says why itself.
		if (error instanceof DormiceError && ["process_not_found", "internal"].includes(error.reason)) return;
		await execution.kill();
		throw error;
	}
}
