import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { AskedOnce } from "../asked-once.ts";
import { command } from "../command.ts";
import type { Need, ProbeReport } from "../driver.ts";
import { OUTPUT, RUNSC_FLAGS } from "./flags.ts";

const INSTALL = "dormice setup, or set RUNSC_PATH to a gVisor of July 2024 or newer";

const asked = new AskedOnce<ProbeReport>();

/** Asks the binary what it can do, rather than which version it is. Asks it once. */
export function probeRunsc(runsc: string): Promise<ProbeReport> {
	return asked.answer(
		runsc,
		() => ask(runsc),
		({ usable }) => usable,
	);
}

async function ask(runsc: string): Promise<ProbeReport> {
	const questions = [["--version"], ["help", "checkpoint"], ["help", "restore"], ["flags"]];
	const answers = await Promise.all(questions.map((args) => answerTo(runsc, args)));
	const [version = "", checkpoint = "", restore = "", flags = ""] = answers;
	const needs: Need[] = [
		need("runsc", version !== "", version.split("\n")[0] ?? "", `not found at ${runsc}`),
		need("checkpoint that leaves the sandbox running", checkpoint.includes("-leave-running"), "yes", "missing"),
		need("uncompressed checkpoints", checkpoint.includes("-compression"), "yes", "missing"),
		need("detached restore", restore.includes("-detach"), "yes", "missing"),
		need("systrap platform", flags.includes("systrap"), "yes", "missing"),
		need("overlay2 flag", flags.includes("-overlay2"), "yes", "missing"),
		need("net-disconnect-ok flag", flags.includes("-net-disconnect-ok"), "yes", "missing"),
	];
	const missing = needs.filter((one) => !one.found);
	return {
		isolation: "gvisor",
		usable: missing.length === 0,
		reason: missing.length === 0 ? "every feature found" : `lacks: ${missing.map((one) => one.name).join(", ")}`,
		version: missing.length === 0 ? `${/version (\S+)/.exec(version)?.[1]}-${await fingerprint(runsc)}` : "",
		needs,
	};
}

/** Twelve hex digits over the binary and how it is run. */
async function fingerprint(runsc: string): Promise<string> {
	const hash = createHash("sha256").update([...RUNSC_FLAGS, OUTPUT].join(" "));
	for await (const chunk of createReadStream(runsc)) hash.update(chunk);
	return hash.digest("hex").slice(0, 12);
}

function need(name: string, found: boolean, detail: string, problem: string): Need {
	return { name, found, detail: found ? detail : problem, remedy: found ? "" : INSTALL };
}

async function answerTo(runsc: string, args: string[]): Promise<string> {
	try {
		// Some of its help goes to standard error.
		return await command("sh", ["-c", 'exec "$@" 2>&1', "sh", runsc, ...args], { timeoutMs: 5_000 });
	} catch {
		return ""; // Reported as a need that is not met.
	}
}
