import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const REPOSITORY = join(import.meta.dirname, "..");

/** Which packages of ours a package may import: code that runs in one place must not drag in another's. */
const MAY_IMPORT: Record<string, readonly string[]> = {
	protocol: [],
	supervisor: ["protocol"],
	engine: ["protocol"],
	server: ["protocol"],
	sdk: ["protocol"],
	cli: ["protocol", "sdk"],
};

const IMPORT =
	/(?:^|\n)\s*(?:import|export)\b[^;"']*?from\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)|(?:^|\n)\s*import\s+["']([^"']+)["']/g;

function importsOf(text: string): string[] {
	return [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
}

const packages = globSync("packages/*", { cwd: REPOSITORY }).map((path) => path.slice("packages/".length));

test("every package has a row", () => {
	assert.deepEqual(packages.toSorted(), Object.keys(MAY_IMPORT).toSorted());
});

for (const name of packages) {
	const allowed = MAY_IMPORT[name] ?? [];
	const files = globSync(`packages/${name}/**/*.ts`, {
		cwd: REPOSITORY,
		exclude: (path) => path.includes("node_modules"),
	});

	test(`${name} imports of ours only: ${allowed.join(", ") || "nothing"}`, () => {
		for (const file of files) {
			for (const specifier of importsOf(readFileSync(join(REPOSITORY, file), "utf8"))) {
				assert.ok(!/packages\//.test(specifier), `${file} imports ${specifier}: name the package`);
				assert.ok(!leaves(file, specifier), `${file} imports ${specifier}, outside its package: name the package`);
				const [, ours, inside] = /^@dormice\/([^/]+)(.*)$/.exec(specifier) ?? [];
				if (ours === undefined) continue;
				assert.ok(allowed.includes(ours), `${file} may not import ${specifier}`);
				assert.equal(inside, "", `${file} imports ${specifier}: only the barrel is public`);
			}
		}
	});

	test(`${name} has one barrel that names every thing in it, or is a program that nobody imports`, () => {
		const barrels = files.filter((file) => file.endsWith("/index.ts"));
		const manifest = JSON.parse(readFileSync(join(REPOSITORY, `packages/${name}/package.json`), "utf8")) as {
			name: string;
			exports?: unknown;
		};
		assert.equal(manifest.name, `@dormice/${name}`);
		if (manifest.exports === undefined) {
			assert.deepEqual(barrels, []);
			assert.ok(existsSync(join(REPOSITORY, `packages/${name}/src/main.ts`)));
			return;
		}
		assert.deepEqual(manifest.exports, { ".": "./src/index.ts" });
		assert.deepEqual(barrels, [`packages/${name}/src/index.ts`]);
		assert.doesNotMatch(readFileSync(join(REPOSITORY, barrels[0] ?? ""), "utf8"), /export \* from/);
	});
}

/** Whether a relative import points out of the package. */
function leaves(file: string, specifier: string): boolean {
	if (!specifier.startsWith(".")) return false;
	const [, name = ""] = file.split("/");
	return !join(file, "..", specifier).startsWith(`packages/${name}/`);
}

test("inside a package the file itself is imported", () => {
	const missing = packages.flatMap((name) =>
		globSync(`packages/${name}/src/**/*.ts`, { cwd: REPOSITORY }).flatMap((file) =>
			importsOf(readFileSync(join(REPOSITORY, file), "utf8"))
				.filter((specifier) => specifier.startsWith("."))
				.filter((specifier) => !/\.(ts|js)$/.test(specifier) || !existsSync(join(REPOSITORY, file, "..", specifier)))
				.map((specifier) => `${file}: ${specifier}`),
		),
	);
	assert.deepEqual(missing, []);
});
