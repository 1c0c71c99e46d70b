import { DormiceError, isId } from "@dormice/protocol";

/** What a client calls a snapshot. */
export interface SnapshotReference {
	/** One of these two. */
	id: string | undefined;
	name: string | undefined;
	tag: string;
	/** Whether the client named a tag. */
	tagged: boolean;
}

const NAME = /^[a-z0-9_-]{1,128}$/;
const TAG = /^[a-z0-9_.-]{1,128}$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The team's part of a full name: what a URL takes of its name. */
export function slugOf(team: { name: string }): string {
	return team.name.toLowerCase().replace(/[^a-z0-9_-]+/g, "-");
}

/** `<id>`, `<name>` or `<team>/<name>`, each with `:<tag>` or without; undefined for what is none of them. Pure. */
export function parseReference(reference: string, slug: string): SnapshotReference | undefined {
	const [path = "", tag, ...rest] = reference.toLowerCase().split(":");
	if (rest.length > 0 || (tag !== undefined && (!TAG.test(tag) || UUID.test(tag)))) return undefined;
	const parts = path.split("/");
	const name = parts.pop() ?? "";
	if (parts.length > 1 || (parts.length === 1 && parts[0] !== slug) || !NAME.test(name)) return undefined;
	const byId = parts.length === 0 && isId("template", name);
	return {
		id: byId ? name : undefined,
		name: byId ? undefined : name,
		tag: tag ?? "default",
		tagged: tag !== undefined,
	};
}

/** A name for a snapshot to be made. Throws `invalid_argument`. */
export function parseName(given: string, slug: string): { name: string; tag: string } {
	const reference = parseReference(given, slug);
	if (reference?.name === undefined) {
		throw new DormiceError(
			"invalid_argument",
			`'${given.slice(0, 200)}' cannot name a snapshot: use letters, digits, - and _, with ':tag' if you like, and of ` +
				`namespaces only '${slug}/'.`,
		);
	}
	return { name: reference.name, tag: reference.tag };
}
