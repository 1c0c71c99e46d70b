import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readConfig } from "../packages/cli/src/config.ts";

const REPOSITORY = join(import.meta.dirname, "..");

function read(file: string): string {
	return readFileSync(join(REPOSITORY, file), "utf8");
}

function missing(files: readonly string[]): string[] {
	return files.filter((file) => !existsSync(join(REPOSITORY, file)));
}

interface Manifest {
	dependencies?: Record<string, string>;
	devDependencies?: Record<string, string>;
}

test("docs/dependencies.md and the package.json files name the same packages", () => {
	const used = globSync(["package.json", "packages/*/package.json"], { cwd: REPOSITORY })
		.map((file) => JSON.parse(read(file)) as Manifest)
		.flatMap(({ dependencies, devDependencies }) => Object.keys({ ...dependencies, ...devDependencies }))
		.filter((name) => !name.startsWith("@dormice/"));
	const [npm = ""] = read("docs/dependencies.md").split("\n## Debian");
	const documented = [...npm.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name ?? "");
	assert.deepEqual(documented.toSorted(), [...new Set(used)].toSorted());
});

test("every file that SPEC.md names is there, and every test that it quotes is in one of them", () => {
	const spec = read("SPEC.md");
	const named = [...spec.matchAll(/`([^`\s]+\.test\.ts)`/g)].map(([, file]) => file ?? "");
	assert.ok(named.length > 20, "the pattern finds the tests");
	assert.deepEqual(missing(named), []);
	const tests = [...new Set(named)].map(read).join("\n");
	// A name may be cut short by "…", and go on in the next line of the text.
	const quoted = [...spec.matchAll(/"([^"]+)"/g)].map(([, name]) => (name ?? "").replace(/\s+/g, " "));
	const beginnings = quoted.map((name) => name.replace(/,? ?…$/, ""));
	assert.deepEqual(
		beginnings.filter((name) => !tests.includes(name)),
		[],
	);
});

test("ARCHITECTURE.md's paths and the links of the documents lead somewhere", () => {
	const paths = [...read("ARCHITECTURE.md").matchAll(/`((?:packages|test|docs)\/[^`\s]+)`/g)].map(
		([, path]) => path ?? "",
	);
	const links = globSync("*.md", { cwd: REPOSITORY }).flatMap((file) =>
		[...read(file).matchAll(/\]\((?!\w+:|#)([^)#]+)/g)].map(([, link]) => link ?? ""),
	);
	assert.ok(paths.length > 5 && links.length > 5, "the patterns find something");
	assert.deepEqual(missing([...paths, ...links]), []);
});

test("every variable of a platform that docs/configuration.md names reaches its processes", () => {
	const [, platform = ""] = read("docs/configuration.md").split("\n## ");
	const named = [...platform.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, name]) => name ?? "");
	assert.ok(named.length > 20, "the pattern finds them");
	const { passedOn } = readConfig(Object.fromEntries(named.map((name) => [name, "1"])));
	assert.deepEqual(named.toSorted(), Object.keys(passedOn).toSorted());
});
