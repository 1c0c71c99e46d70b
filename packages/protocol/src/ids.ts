import { randomInt } from "node:crypto";

const ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";
const LENGTH = 20;

/** Fixed lengths: an engine that matches ids by prefix can then never confuse two. */
const PATTERNS = {
	sandbox: /^i[a-z0-9]{20}$/,
	generation: /^g[a-z0-9]{20}$/,
	template: /^[a-z0-9]{20}$/,
	rootfs: /^[a-z][a-z0-9]{0,30}-[a-f0-9]{16}$/,
} as const;

export type IdKind = keyof typeof PATTERNS;

const PREFIXES = { sandbox: "i", generation: "g", template: "" } as const;

/** A fresh random id: `i…` for a sandbox, `g…` for a generation, 20 bare characters for a template. */
export function newId(kind: keyof typeof PREFIXES): string {
	let id: string = PREFIXES[kind];
	for (let i = 0; i < LENGTH; i++) id += ALPHABET[randomInt(ALPHABET.length)];
	return id;
}

/** Whether `value` has the form of an id of this kind. Everything from outside passes here before it names anything. */
export function isId(kind: IdKind, value: string): boolean {
	return PATTERNS[kind].test(value);
}
