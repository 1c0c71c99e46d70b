import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { run } from "../command.ts";
import { NODE, type PlatformPaths, REPOSITORY } from "../platform/paths.ts";
import { type Variables, writeDurably } from "../platform/settings.ts";
import { debianCodename, enableBackports, install, refreshLists } from "./apt.ts";
import { locate, MICROVM_PROGRAMS } from "./programs.ts";
import type { SetupStep } from "./step.ts";

/** What the kernel is made by and of, besides the kernel itself. */
const SOURCES = [
	"packages/engine/microvm-init/*",
	"packages/engine/src/microvm/{kernel-build,initramfs,modules,images}.ts",
];

const QEMU = "qemu-system-x86";

/** What a host needs for microVMs beside what every platform does: only for those who asked for it, once. */
export function microvmSteps(paths: PlatformPaths, path: string, variables: Variables): SetupStep[] {
	return [programsStep(path, variables.QEMU_PATH), kernelStep(paths, path, variables)];
}

/** Whether this platform was set up for microVMs: then every set-up completes that too. */
export function hasMicrovms(paths: PlatformPaths): boolean {
	return existsSync(join(paths.kernel, "current"));
}

function programsStep(path: string, ownQemu: string | undefined): SetupStep {
	const missing = () =>
		MICROVM_PROGRAMS.filter(({ package: name, proof }) => {
			const found = locate(name === QEMU ? (ownQemu ?? proof) : proof, path);
			return found === undefined || (name === QEMU && isOldQemu(found));
		});
	return {
		title: "Install QEMU",
		isDone: () => missing().length === 0,
		async run(line) {
			const codename = debianCodename();
			// Debian 12's own QEMU, of 2022, cannot share a stored memory among machines.
			const suite = codename === "bookworm" ? `${codename}-backports` : undefined;
			if (codename !== undefined && suite !== undefined && enableBackports(codename)) line(`added ${suite}`);
			await refreshLists(path, line);
			const packages = missing().map((program) => program.package);
			if (packages.includes(QEMU) && ownQemu !== undefined)
				throw new DormiceError("not_set_up", `QEMU_PATH is ${ownQemu}, which is no QEMU of ${OLDEST_QEMU} or newer.`);
			await install(packages, path, line, packages.includes(QEMU) ? suite : undefined);
		},
	};
}

/** Before this, QEMU cannot map a stored memory read-only into a machine that writes. */
const OLDEST_QEMU = 8.2;

function isOldQemu(program: string): boolean {
	const printed = execFileSync(program, ["--version"], { encoding: "utf8" });
	return Number(/version (\d+\.\d+)/.exec(printed)?.[1] ?? 0) < OLDEST_QEMU;
}

/** The kernel that guests boot, with its initramfs. Made again when what makes it changes. */
function kernelStep(paths: PlatformPaths, path: string, variables: Variables): SetupStep {
	const builtFrom = join(paths.kernel, "built-from");
	const from = variables.DORMICE_KERNEL;
	const wanted = () => `${sourcesHash()} ${from ?? ""}`.trim();
	return {
		title: "Make the kernel of microVMs",
		isDone: () => hasMicrovms(paths) && existsSync(builtFrom) && readFileSync(builtFrom, "utf8").trim() === wanted(),
		async run(line) {
			const program = join(REPOSITORY, "packages/engine/src/microvm/kernel-main.ts");
			const source = from === undefined ? [] : ["--from", from];
			await run([NODE, program, "--data", paths.data, ...source], { env: { PATH: path }, onLine: line });
			writeDurably(builtFrom, `${wanted()}\n`, 0o644);
		},
	};
}

function sourcesHash(): string {
	const hash = createHash("sha256");
	for (const file of globSync(SOURCES, { cwd: REPOSITORY }).sort()) {
		hash
			.update(`${file}\0`)
			.update(readFileSync(join(REPOSITORY, file)))
			.update("\0");
	}
	return hash.digest("hex");
}
