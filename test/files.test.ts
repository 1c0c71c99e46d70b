import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";

const REPOSITORY = join(import.meta.dirname, "..");
const LONGEST = 400;

/** Names that say nothing about what is inside. */
const EMPTY_NAMES = [
	"utils",
	"util",
	"helpers",
	"helper",
	"common",
	"shared",
	"core",
	"manager",
	"managers",
	"misc",
	"lib",
];

function sources(pattern: string): string[] {
	return globSync(pattern, { cwd: REPOSITORY, exclude: (path) => /(^|\/)(node_modules|gen)$/.test(path) });
}

function read(file: string): string {
	return readFileSync(join(REPOSITORY, file), "utf8");
}

const files = [...sources("packages/**/*.{ts,c,h}"), ...sources("test/**/*.ts")];

test(`no file is longer than ${LONGEST} lines`, () => {
	assert.ok(files.length > 100, "the pattern finds the sources");
	const long = files
		.map((file) => ({ file, lines: read(file).split("\n").length - 1 }))
		.filter(({ lines }) => lines > LONGEST);
	assert.deepEqual(long, []);
});

test("folders and files are named for what they are about", () => {
	const nameless = files.filter((file) =>
		file
			.split("/")
			.slice(2)
			.some((part) => EMPTY_NAMES.includes(part.replace(/\..*$/, ""))),
	);
	assert.deepEqual(nameless, []);
});

test("only config.ts reads the environment", () => {
	const readers = files
		.filter((file) => !file.endsWith(".test.ts") && !/(^|\/)test\//.test(file) && basename(file) !== "config.ts")
		.filter((file) => /\bprocess\.env\b/.test(read(file)));
	assert.deepEqual(readers, []);
});
