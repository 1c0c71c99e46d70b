import { GUEST } from "@dormice/protocol";

/** More layers of encoding than anything honest has. */
const MAX_LAYERS = 8;

/**
 * Whether a request to the supervisor's port means one of the paths that only the host may call. The supervisor tells
 * the host by its address, and the gateway has the same one: this is the one place that keeps strangers out, so every
 * spelling that any parser could read as such a path counts. Pure.
 */
export function isHostOnly(url: string): boolean {
	let path = url.split(/[?#]/, 1)[0] ?? "";
	for (let layer = 0; layer < MAX_LAYERS; layer++) {
		if (GUEST.hostOnlyPaths.some((own) => isBelow(flatten(path), own))) return true;
		const decoded = path.replace(/%[0-9a-f]{2}/gi, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)));
		if (decoded === path) return false;
		path = decoded;
	}
	// Still encoded after that many layers: nobody who means well.
	return true;
}

/** As the loosest parser would: any slash, empty and dot segments gone, case and control characters ignored. */
function flatten(path: string): string {
	const segments: string[] = [];
	for (const segment of path
		.replace(/[\0-\x20\x7f]/g, "")
		.toLowerCase()
		.split(/[/\\]+/)) {
		const name = segment.split(";", 1)[0] ?? "";
		if (name === "..") segments.pop();
		else if (name !== "" && name !== ".") segments.push(name);
	}
	return `/${segments.join("/")}`;
}

function isBelow(path: string, own: string): boolean {
	// A query that was encoded belongs to the path, for us; for a parser that decodes first it does not.
	return path === own || path.startsWith(`${own}/`) || path.startsWith(`${own}?`) || path.startsWith(`${own}#`);
}
