import type { Random } from "./random.ts";

/** What no field expects. Strings that every parser of something may trip over, numbers at every edge, and other types. */
export const VALUES: readonly unknown[] = [
	...[null, true, false, [], {}, [[]], [null], { a: null }, { constructor: { prototype: 1 } }, { toString: 1 }],
	...[
		0,
		-0,
		-1,
		1,
		1.5,
		127,
		2 ** 31 - 1,
		2 ** 31,
		-(2 ** 31),
		-(2 ** 31) - 1,
		2 ** 32,
		2 ** 53,
		-(2 ** 53),
		1e21,
		1e308,
	],
	...[
		"",
		" ",
		"0",
		"-1",
		"1e9",
		"NaN",
		"null",
		"true",
		"a\0b",
		"\0",
		"\ud800",
		"a\udfffb",
		"\u202e",
		"🐭",
		"ü".repeat(300),
	],
	...[
		"x".repeat(257),
		"x".repeat(70_000),
		"../../etc/passwd",
		"%00",
		"%",
		"%zz",
		"a:b:c",
		":",
		"/",
		"a/b/c",
		"default",
	],
	...[
		"__proto__",
		"constructor",
		"hasOwnProperty",
		"' or 1=1 --",
		'"',
		"\\",
		"\r\nx: y",
		"\u0000\u0001\u001f",
		"\ufeff",
	],
	...["0000-00-00T00:00:00Z", "9999-12-31T23:59:59Z", "-271821-04-20T00:00:00Z", "+275760-09-13T00:00:00.000Z"],
	...[
		"base",
		"base:default",
		"BASE",
		"base:",
		"team/base",
		"00000000-0000-0000-0000-000000000000",
		"fe80::1%lo",
		"::/0",
	],
	...[
		cursor("-271821-04-20T00:00:00.000Z", "i"),
		cursor("+275760-09-13T00:00:00.000Z", "i"),
		cursor("0000-01-01", "i"),
	],
	Array.from({ length: 1025 }, () => "x"),
	Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, "v"])),
	{ ["k".repeat(300)]: "v" },
	{ "a\0": "v", "\ud800": "v" },
];

const TEXTS = VALUES.filter((value) => typeof value === "string");

/** As lists give them, with a time of one's own. */
function cursor(time: string, first: string): string {
	return Buffer.from(`${time}__${first}${"0".repeat(20)}`).toString("base64url");
}

/** Bodies that are no object, no JSON, or JSON of a kind that parsers mind. */
export const RAW_BODIES: readonly (string | Buffer)[] = [
	...["null", "[]", '"text"', "1", "true", "{", "}", "{]", '{"a":1', "undefined", "\ufeff{}", "  ", "{}{}", "'a'"],
	...['{"__proto__":{"admin":true}}', '{"constructor":{"prototype":{"a":1}}}', '{"a":{"__proto__":1}}', '{"a":1e999}'],
	...[
		'{"templateID":"base","templateID":1}',
		'{"timeout":0x10}',
		'{"timeout":-0}',
		'{"timeout":1e400}',
		'{"a":"\\ud800"}',
	],
	"[".repeat(100_000),
	`${"[".repeat(100_000)}${"]".repeat(100_000)}`,
	`${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`,
	`{"templateID":"base","metadata":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
	Buffer.from([0x7b, 0xff, 0xfe, 0x00, 0x7d]),
	Buffer.from([0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]),
	Buffer.from('{"metadata":{"a":"\xff"}}', "latin1"),
];

export const CONTENT_TYPES: readonly (string | undefined)[] = [
	...[
		undefined,
		"",
		"application/json",
		"APPLICATION/JSON; charset=utf-8",
		"application/json; charset=utf-7",
		"text/plain",
	],
	...[
		"application/x-www-form-urlencoded",
		"multipart/form-data",
		"multipart/form-data; boundary=x",
		"a",
		"/",
		"a/b;;=",
		";",
	],
	...["application/merge-patch+json", "application/octet-stream", `application/${"x".repeat(1000)}`, "__proto__"],
];

/** What stands where an id, or a part of a path, is expected; as it goes over the wire. */
export const PATH_PARTS: readonly string[] = [
	...[
		"a",
		"0",
		"%00",
		"a%00b",
		"%",
		"%zz",
		"%ff",
		"%ed%a0%80",
		"%2e%2e",
		"..",
		".",
		"%2f",
		"a%2fb",
		"%20",
		"%0d%0a",
		"+",
	],
	...[
		"__proto__",
		"constructor",
		"toString",
		"base",
		"base:default",
		"x".repeat(600),
		"x".repeat(5000),
		"a-b",
		"-",
		":",
		"*",
	],
	...[
		"i0000000000000000000",
		"g0000000000000000000",
		"'%20or%201=1",
		"%F0%9F%90%AD",
		"null",
		"undefined",
		"[object%20Object]",
	],
];

/** The body with one field, at any depth, changed, left out or added. */
export function mutate(random: Random, body: unknown, fieldNames: readonly string[]): unknown {
	if (typeof body !== "object" || body === null) return random.pick(VALUES);
	const keys = Object.keys(body);
	const kind = random.between(0, 9);
	if (Array.isArray(body)) {
		if (kind < 3 || keys.length === 0) return [...body, random.pick(VALUES)];
		const at = random.between(0, body.length - 1);
		return kind === 3 ? body.toSpliced(at, 1) : body.with(at, mutate(random, body[at], []));
	}
	if (kind < 3 || keys.length === 0) {
		const name = random.between(0, 2) > 0 && fieldNames.length > 0 ? random.pick(fieldNames) : random.pick(TEXTS);
		return { ...body, [name]: random.pick(VALUES) };
	}
	const key = random.pick(keys);
	const { [key]: value, ...rest } = body as Record<string, unknown>;
	if (kind === 3) return rest;
	return { ...body, [key]: kind < 7 ? random.pick(VALUES) : mutate(random, value, []) };
}
