import { readFileSync } from "node:fs";

/** Extensions of the instruction set, which a program finds once and then relies on. Flags of the kernel's own making are none. */
const EXTENSION =
	/^(sse|ssse|avx|amx|aes|vaes|bmi|adx|sha|fma|f16c|popcnt|movbe|rdrand|rdseed|pclmul|vpclmul|gfni|xsave|abm|lzcnt|erms|fsrm|clwb|clflush|cx16|lahf|rdpid|rdtscp|pku|ospke|mpx|fsgsbase)/;

let here: readonly string[] | undefined;

/** What this host's processor can do that a stored program may rely on, sorted; empty where the kernel does not say. */
export function cpuFeatures(): string[] {
	here ??= readFeatures(readFileSync("/proc/cpuinfo", "utf8"));
	return [...here];
}

/** Of the text of `/proc/cpuinfo`. Pure. */
export function readFeatures(cpuinfo: string): string[] {
	const flags = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1] ?? "";
	return flags
		.split(/\s+/)
		.filter((flag) => EXTENSION.test(flag))
		.toSorted();
}
