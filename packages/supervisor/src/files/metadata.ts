import type { IncomingHttpHeaders } from "node:http";
import { DormiceError } from "@dormice/protocol";

export type Metadata = Readonly<Record<string, string>>;

const HEADER = "x-metadata-";
const LONGEST_KEY_BYTES = 246;
const TOTAL_BYTES = 4096;

/** The metadata an upload carries in its headers (Node has lowercased the names). */
export function metadataOf(headers: IncomingHttpHeaders): Metadata {
	const metadata: Record<string, string> = {};
	let total = 0;
	for (const [name, value] of Object.entries(headers)) {
		if (!name.startsWith(HEADER) || value === undefined) continue;
		const key = name.slice(HEADER.length);
		const text = Array.isArray(value) ? value.join(", ") : value;
		if (key === "") throw refused("a metadata key is empty");
		if (key.length > LONGEST_KEY_BYTES) throw refused(`the key '${key}' is longer than ${LONGEST_KEY_BYTES} bytes`);
		if (!/^[\x20-\x7e]*$/.test(key + text)) throw refused(`'${key}' has characters that are not printable ASCII`);
		total += key.length + text.length;
		metadata[key] = text;
	}
	if (total > TOTAL_BYTES) throw refused(`metadata is ${total} bytes, more than ${TOTAL_BYTES}`);
	return metadata;
}

function refused(why: string): DormiceError {
	return new DormiceError("invalid_argument", `invalid metadata: ${why}`);
}
