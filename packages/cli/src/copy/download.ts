import { createWriteStream, existsSync, statSync } from "node:fs";
import { chmod, mkdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DormiceError } from "@dormice/protocol";
import type { Sandbox } from "@dormice/sdk";

/** The path in full, then each thing below it: what it is, its mode, and its path from there. All end with a NUL. */
const LIST = `set -e
path=$(realpath -e -- "$1")
printf '%s\\0' "$path"
exec find "$path" -printf '%y %m %P\\0'`;

interface Entry {
	type: string;
	mode: number;
	path: string;
}

/**
 * Copies a file or directory out of a sandbox, which is not trusted with more than their contents: files and directories
 * are made here, below the place that was named, with no other owner or right than they would have. Answers the paths of
 * what is neither, and was left out.
 */
export async function download(
	sandbox: Sandbox,
	from: string,
	to: string,
	options: { user?: string },
): Promise<string[]> {
	const { exitCode, stdout, stderr } = await sandbox.exec(["sh", "-c", LIST, "cp", from], options).result();
	if (exitCode !== 0) throw new DormiceError("path_not_found", `It could not be read there: ${stderr.trim()}`);
	const [source = "", ...lines] = stdout.split("\0").slice(0, -1);
	// Of the root itself there is no name.
	if (basename(source) === "..")
		throw new DormiceError("invalid_argument", "The sandbox names a path that is none: ..");
	const isInto = existsSync(to) && statSync(to).isDirectory();
	const target = resolve(isInto ? join(to, basename(source)) : to);
	if (!existsSync(dirname(target)))
		throw new DormiceError("path_not_found", `There is no directory ${dirname(target)} here.`);
	const leftOut: string[] = [];
	for (const { type, mode, path } of lines.map(parseEntry)) {
		const place = join(target, path);
		if (type === "d") await mkdir(place, { recursive: true });
		else if (type === "f") {
			await pipeline(
				Readable.fromWeb(await sandbox.files.stream(join(source, path), options)),
				createWriteStream(place),
			);
			if ((mode & 0o111) !== 0) await chmod(place, 0o755 & ~process.umask());
		} else leftOut.push(join(source, path));
	}
	return leftOut;
}

/** Throws for what would be elsewhere than below the place it is for. */
export function parseEntry(line: string): Entry {
	const [, type = "", mode = "", path = ""] = /^(\S) ([0-7]+) (.*)$/s.exec(line) ?? [];
	if (type === "" || path.split("/").includes("..") || path.startsWith("/")) {
		throw new DormiceError(
			"invalid_argument",
			`The sandbox names a path that is none: ${JSON.stringify(line.slice(0, 200))}`,
		);
	}
	return { type, mode: Number.parseInt(mode, 8), path };
}
