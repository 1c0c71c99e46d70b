import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { dirname, join } from "node:path";
import { Command } from "commander";
import { bestEffort } from "../best-effort.ts";
import { run } from "../command.ts";
import { type Config, inheritedEnvironment } from "../config.ts";
import { takeDown } from "../platform/down.ts";
import { NODE, platformPaths, REPOSITORY } from "../platform/paths.ts";
import { showProgress } from "../progress.ts";
import { requireRoot } from "../setup/root.ts";
import { setUp } from "../setup/setup.ts";

const TEST_FILES = ["packages/*/src/**/*.test.ts", "packages/*/test/**/*.test.ts", "test/**/*.test.ts"];

const CHECKS = [
	["node_modules/.bin/biome", "check", "."],
	["node_modules/.bin/oxlint", "--type-aware", "-c", "oxlint.json", "packages", "test"],
	["node_modules/.bin/tsc", "--noEmit"],
];

export function testCommand(config: Config): Command {
	return new Command("test")
		.summary("run every check and test of this repository")
		.description(
			"Installs what the tests need, then runs the linters, the type check and all tests: units, and real sandboxes.\n" +
				"Uses a data directory of its own and removes it afterwards.",
		)
		.argument("[files...]", "only these test files, and no linters")
		.addHelpText(
			"after",
			"\nExamples:\n  sudo dormice test\n  sudo dormice test packages/cli/src/platform/lock.test.ts",
		)
		.action(async (files: string[]) => {
			requireRoot("`dormice test`", "it runs real sandboxes");
			const paths = platformPaths(mkdtempSync("/var/tmp/dormice-test-"));
			await setUp({ paths, path: config.path, variables: config.passedOn, microvms: true, progress: showProgress() });
			try {
				process.exitCode = await checkAndTest(files, paths.data, config);
			} finally {
				await bestEffort(
					"stop what the tests started",
					takeDown(paths, config, () => undefined),
				);
				await bestEffort("remove the data", run(["rm", "-rf", "--one-file-system", paths.data, paths.run]));
			}
		});
}

/** The first failing exit code, or 0. A failed check does not keep the tests from running. */
async function checkAndTest(files: readonly string[], data: string, config: Config): Promise<number> {
	const env = { ...inheritedEnvironment(), DORMICE_DATA: data, PATH: `${dirname(NODE)}:${config.path}` };
	const codes: number[] = [];
	if (files.length === 0) {
		for (const check of CHECKS) codes.push(await runVisibly(check, env));
	}
	const concurrency = "--test-concurrency=1";
	codes.push(await runVisibly([NODE, "--test", concurrency, ...(files.length > 0 ? files : TEST_FILES)], env));
	return codes.find((code) => code !== 0) ?? 0;
}

async function runVisibly(command: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
	const [program = "", ...args] = command;
	const child = spawn(program.startsWith("/") ? program : join(REPOSITORY, program), args, {
		stdio: "inherit",
		cwd: REPOSITORY,
		env,
	});
	const [code] = (await once(child, "exit")) as [number | null];
	return code ?? 1;
}
