import { existsSync, globSync, readFileSync } from "node:fs";
import { DormiceError } from "@dormice/protocol";
import { run } from "../command.ts";
import { writeDurably } from "../platform/settings.ts";
import { type AptSource, backportsSource, hasBackports } from "./backports.ts";

type Line = (text: string) => void;

const OURS = "/etc/apt/sources.list.d/dormice-backports.sources";
const ENVIRONMENT = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
/** Another apt may be at work (unattended upgrades): wait for it this long, in seconds. */
const LOCK_TIMEOUT = ["-o", "DPkg::Lock::Timeout=300"];

/** Installs Debian packages. `suite` prefers that suite for them. */
export async function install(packages: readonly string[], path: string, line: Line, suite?: string): Promise<void> {
	requireApt(packages);
	// Completes what an earlier, interrupted installation left half configured; else apt refuses to start.
	await run(["dpkg", "--configure", "--pending"], { env: { ...ENVIRONMENT, PATH: path }, onLine: line });
	await run(
		[
			...["apt-get", "install", "--yes", "--no-install-recommends", ...LOCK_TIMEOUT],
			...(suite ? ["--target-release", suite] : []),
			...packages,
		],
		{ env: { ...ENVIRONMENT, PATH: path }, onLine: line },
	);
}

/** Fetches the lists of what can be installed. */
export async function refreshLists(path: string, line: Line): Promise<void> {
	await run(["apt-get", "update", ...LOCK_TIMEOUT], { env: { ...ENVIRONMENT, PATH: path }, onLine: line });
}

/** Makes sure that the backports suite of this Debian is among the sources. Answers whether it was added. */
export function enableBackports(codename: string): boolean {
	const sources: AptSource[] = ["/etc/apt/sources.list", ...globSync("/etc/apt/sources.list.d/*.{list,sources}")]
		.filter((path) => existsSync(path))
		.map((path) => ({ path, text: readFileSync(path, "utf8") }));
	if (hasBackports(sources, codename)) return false;
	const source = backportsSource(sources, codename);
	if (source === undefined) {
		throw new DormiceError(
			"not_set_up",
			`No apt source of this machine names the suite ${codename}, so ${codename}-backports cannot be derived. ` +
				"Install runsc of 2024 or later by hand, or point RUNSC_PATH at it.",
		);
	}
	writeDurably(OURS, source, 0o644);
	return true;
}

/** `VERSION_CODENAME` of this system when it is Debian itself: `bookworm`, `trixie`. */
export function debianCodename(): string | undefined {
	if (!existsSync("/etc/os-release")) return undefined;
	const fields = new Map(
		readFileSync("/etc/os-release", "utf8")
			.split("\n")
			.map((line) => line.split("=", 2))
			.map(([name = "", value = ""]) => [name, value.replaceAll('"', "")] as const),
	);
	return fields.get("ID") === "debian" ? fields.get("VERSION_CODENAME") : undefined;
}

function requireApt(packages: readonly string[]): void {
	if (existsSync("/usr/bin/apt-get")) return;
	throw new DormiceError(
		"not_set_up",
		`This system has no apt. Install what these Debian packages bring, then run this again: ${packages.join(" ")}`,
	);
}
