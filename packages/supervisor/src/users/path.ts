import { posix } from "node:path";
import { DormiceError } from "@dormice/protocol";

/**
 * The absolute path a client means: `~` and relative paths are the user's home, an empty one is the default working
 * directory.
 */
export function resolvePath(path: string, place: { home: string; workdir?: string | undefined }): string {
	if (path.includes("\0")) throw new DormiceError("invalid_argument", "a path cannot contain a NUL byte");
	if (path === "") return place.workdir ? resolvePath(place.workdir, { home: place.home }) : place.home;
	if (path === "~" || path.startsWith("~/")) return posix.resolve(place.home, `.${path.slice(1)}`);
	if (path.startsWith("~")) {
		throw new DormiceError(
			"invalid_argument",
			`cannot expand the home directory in '${path}': use '~/' or the full path`,
		);
	}
	return posix.resolve(place.home, path);
}
