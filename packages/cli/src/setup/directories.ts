import { chmodSync, chownSync, lstatSync, mkdirSync, statSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import type { PlatformPaths } from "../platform/paths.ts";
import { requireUser } from "../platform/user.ts";
import type { SetupStep } from "./step.ts";

interface Directory {
	path: string;
	mode: number;
	uid: number;
	gid: number;
}

/** The platform's directories, closed to all but root, and the server where it must read; see `exposed`. */
export function directoriesStep(paths: PlatformPaths): SetupStep {
	return {
		title: "Make the data directory",
		isDone: () => wanted(paths).every(isAsWanted) && isLinked(paths),
		async run() {
			for (const { path, mode, uid, gid } of wanted(paths)) {
				mkdirSync(path, { recursive: true });
				chownSync(path, uid, gid);
				chmodSync(path, mode);
			}
			if (!isLinked(paths)) symlinkSync(paths.run, join(paths.data, "run"));
		},
	};
}

function wanted(paths: PlatformPaths): Directory[] {
	const { uid, gid } = requireUser();
	return [
		{ path: paths.data, mode: 0o711, uid: 0, gid: 0 },
		{ path: paths.guest, mode: 0o700, uid: 0, gid: 0 },
		{ path: paths.bin, mode: 0o700, uid: 0, gid: 0 },
		{ path: paths.cache, mode: 0o700, uid: 0, gid: 0 },
		{ path: join(paths.cache, "engine"), mode: 0o700, uid: 0, gid: 0 },
		{ path: join(paths.cache, "server"), mode: 0o700, uid, gid },
		{ path: paths.logs, mode: 0o750, uid: 0, gid },
		// What the engine makes here belongs to the server's group.
		{ path: paths.sandboxLogs, mode: 0o2750, uid: 0, gid },
		{ path: dirname(paths.run), mode: 0o711, uid: 0, gid: 0 },
		{ path: paths.run, mode: 0o711, uid: 0, gid: 0 },
		{ path: paths.emptyRoot, mode: 0o700, uid: 0, gid: 0 },
		{ path: paths.postgresSocket, mode: 0o700, uid, gid },
	];
}

function isAsWanted({ path, mode, uid, gid }: Directory): boolean {
	const found = statSync(path, { throwIfNoEntry: false });
	return found?.isDirectory() === true && (found.mode & 0o7777) === mode && found.uid === uid && found.gid === gid;
}

/** A name in the data directory for who looks for the sockets. */
function isLinked(paths: PlatformPaths): boolean {
	return lstatSync(join(paths.data, "run"), { throwIfNoEntry: false }) !== undefined;
}
