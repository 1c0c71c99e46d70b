/** One source file of apt, as found on the machine. */
export interface AptSource {
	path: string;
	text: string;
}

/** The fields of a deb822 source that say how a mirror is reached and trusted. See sources.list(5). */
type Stanza = Map<string, string>;

/**
 * The source of `<codename>-backports`, made from the machine's own entry for `<codename>`: the same mirror,
 * the same keys, another suite. `undefined` when no entry names `<codename>`.
 */
export function backportsSource(sources: readonly AptSource[], codename: string): string | undefined {
	const stanzas = sources.flatMap(({ path, text }) =>
		path.endsWith(".sources") ? parseDeb822(text) : parseLines(text),
	);
	const main = stanzas.find((stanza) => words(stanza, "types").includes("deb") && names(stanza, codename));
	if (!main) return undefined;
	const fields = new Map(main);
	fields.set("types", "deb");
	fields.set("suites", `${codename}-backports`);
	return `${[...fields].map(([name, value]) => `${canonical(name)}: ${value}`).join("\n")}\n`;
}

/** Whether an enabled source already offers the backports. */
export function hasBackports(sources: readonly AptSource[], codename: string): boolean {
	return sources
		.flatMap(({ path, text }) => (path.endsWith(".sources") ? parseDeb822(text) : parseLines(text)))
		.some((stanza) => names(stanza, `${codename}-backports`));
}

function names(stanza: Stanza, suite: string): boolean {
	return stanza.get("enabled")?.toLowerCase() !== "no" && words(stanza, "suites").includes(suite);
}

function words(stanza: Stanza, field: string): string[] {
	return (stanza.get(field) ?? "").split(/\s+/).filter((word) => word !== "");
}

/** Paragraphs of `Field: value`; a line that starts with a blank continues the value (a key may be written out). */
function parseDeb822(text: string): Stanza[] {
	const stanzas: Stanza[] = [];
	for (const paragraph of text.split(/\n[ \t]*\n/)) {
		const stanza: Stanza = new Map();
		let field = "";
		for (const line of paragraph.split("\n")) {
			if (line.startsWith("#") || line.trim() === "") continue;
			if (/^[ \t]/.test(line)) {
				stanza.set(field, `${stanza.get(field) ?? ""}\n${line}`);
				continue;
			}
			const colon = line.indexOf(":");
			field = line.slice(0, colon).trim().toLowerCase();
			stanza.set(field, line.slice(colon + 1).trim());
		}
		if (stanza.size > 0) stanzas.push(stanza);
	}
	return stanzas;
}

/** Lines of `deb [option=value …] uri suite component…`, as the fields they stand for. */
function parseLines(text: string): Stanza[] {
	const stanzas: Stanza[] = [];
	for (const line of text.split("\n")) {
		const match = /^\s*(deb)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
		if (!match) continue;
		const [, type = "", options = "", uri = "", suite = "", components = ""] = match;
		const stanza: Stanza = new Map([
			["types", type],
			["uris", uri],
			["suites", suite],
			["components", components.trim()],
		]);
		for (const option of options.split(/\s+/).filter((word) => word !== "")) {
			const [name = "", value = ""] = option.split("=", 2);
			stanza.set(LONG_OPTIONS.get(name) ?? name, value.replaceAll(",", " "));
		}
		stanzas.push(stanza);
	}
	return stanzas;
}

/** Options whose deb822 field has another name. */
const LONG_OPTIONS = new Map([
	["arch", "architectures"],
	["lang", "languages"],
	["target", "targets"],
]);

function canonical(field: string): string {
	if (field === "uris") return "URIs";
	return field.replaceAll(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
}
