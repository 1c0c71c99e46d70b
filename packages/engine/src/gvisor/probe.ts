import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { AskedOnce } from "../asked-once.ts";
import { command } from "../command.ts";
import type { Need, ProbeReport } from "../driver.ts";
import { OUTPUT, RUNSC_FLAGS } from "./flags.ts";
import { MENDS, mend, needsMending } from "./mend.ts";

const NEWER = "set RUNSC_PATH to a gVisor of April 2026 or newer";
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
	const program = version === "" ? Buffer.alloc(0) : await readFile(runsc);
	// Over the binary as it is installed: mending changes it.
	const print = fingerprint(program);
	const needs: Need[] = [
		need("runsc", version !== "", version.split("\n")[0] ?? "", `not found at ${runsc}`),
		need("checkpoint that leaves the sandbox running", checkpoint.includes("-leave-running"), "yes", "missing"),
		need("uncompressed checkpoints", checkpoint.includes("-compression"), "yes", "missing"),
		need("detached restore", restore.includes("-detach"), "yes", "missing"),
		need("systrap platform", flags.includes("systrap"), "yes", "missing"),
		need("overlay2 flag", flags.includes("-overlay2"), "yes", "missing"),
		need("net-disconnect-ok flag", flags.includes("-net-disconnect-ok"), "yes", "missing"),
	];
	if (version !== "") {
		const fault = needsMending(version) && !mend(program);
		const row = need(
			"no event loop spins after a wake",
			!fault,
			"yes",
			"this build of a release before April 2026 is unknown",
		);
		needs.push({ ...row, remedy: fault ? NEWER : "" });
	}
	const missing = needs.filter((one) => !one.found);
	return {
		isolation: "gvisor",
		usable: missing.length === 0,
		reason: missing.length === 0 ? "every feature found" : `lacks: ${missing.map((one) => one.name).join(", ")}`,
		version: missing.length === 0 ? `${/version (\S+)/.exec(version)?.[1]}-${print}` : "",
		needs,
	};
}

/** Twelve hex digits over the binary, how it is run and what is mended in it. */
function fingerprint(program: Buffer): string {
	const hash = createHash("sha256")
		.update([...RUNSC_FLAGS, OUTPUT].join(" "))
		.update(MENDS);
	return hash.update(program).digest("hex").slice(0, 12);
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
