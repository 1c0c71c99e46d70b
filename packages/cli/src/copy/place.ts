/** One side of a copy: a path here, or in a sandbox. */
export type Place = { path: string } | { sandbox: string; path: string };

/** As `docker cp` has it: `ID:PATH` is in a sandbox; a path here that looks so is written with `./` before it. */
export function parsePlace(text: string): Place {
	const [, sandbox, path = ""] = /^([a-z0-9]+):(.*)$/s.exec(text) ?? [];
	return sandbox === undefined ? { path: text } : { sandbox, path: path === "" ? "." : path };
}
