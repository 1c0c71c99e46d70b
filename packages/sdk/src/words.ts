/** The wire's words, which are E2B's, and ours for the same. Sizes are MiB, whatever the wire calls them. */
const WORDS: Readonly<Record<string, string>> = {
	sandboxID: "sandboxId",
	templateID: "templateId",
	snapshotID: "snapshotId",
	generationID: "generationId",
	generationIDs: "generationIds",
	parentID: "parentId",
	replacedID: "replacedId",
	teamID: "teamId",
	keyID: "keyId",
	clientID: "clientId",
	buildID: "buildId",
	memoryMB: "memoryMiB",
	diskSizeMB: "diskMiB",
};

/** Their names were chosen by whoever made the sandbox, or by a program in it. */
const NAMES_OF_OTHERS = ["metadata", "fields"];

/** An answer of the API in our words. */
export function fromWire(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(fromWire);
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(
		Object.entries(value).map(([name, inner]) => [
			WORDS[name] ?? name,
			NAMES_OF_OTHERS.includes(name) ? inner : fromWire(inner),
		]),
	);
}

/** Of log entries: the wire has text only. */
const NUMBERS = /^(pid|port|hostPort|before)$|Ms$/;

/** The fields of a log entry, with numbers as numbers where ours are some. */
export function typedFields(fields: Readonly<Record<string, string>>): Record<string, string | number> {
	return Object.fromEntries(
		Object.entries(fields).map(([name, text]) => [
			name,
			NUMBERS.test(name) && /^\d{1,15}$/.test(text) ? Number(text) : text,
		]),
	);
}
