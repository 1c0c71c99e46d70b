import { Command } from "commander";
import type { Config } from "../config.ts";
import { download } from "../copy/download.ts";
import { parsePlace } from "../copy/place.ts";
import { upload } from "../copy/upload.ts";
import { harmless, printJson } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";

export function cpCommand(config: Config): Command {
	return new Command("cp")
		.summary("copy files into a sandbox or out of it")
		.description(
			"Copies a file or directory. A path in a sandbox is ID:PATH; a relative one is below the user's home. Into a directory\n" +
				"that is there, else to be what DST names. Out of a sandbox come files and directories, no links or devices.",
		)
		.argument("<src>", "what to copy")
		.argument("<dst>", "where to")
		.option("-u, --user <name>", "user in the sandbox who reads or writes it")
		.addHelpText("after", "\nExamples:\n  dormice cp ./src ID:\n  dormice cp ID:/var/log/dpkg.log .")
		.action(async (src: string, dst: string, options: CommonOptions & { user?: string }, command: Command) => {
			const [from, to] = [parsePlace(src), parsePlace(dst)];
			const inside = "sandbox" in from ? from.sandbox : "sandbox" in to ? to.sandbox : undefined;
			if (inside === undefined || ("sandbox" in from && "sandbox" in to)) {
				command.error("error: one of the two is ID:PATH, and the other a path here");
			}
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const sandbox = await sandboxes.get(await fullId(sandboxes, inside));
			const user = options.user === undefined ? {} : { user: options.user };
			let leftOut: string[] = [];
			if ("sandbox" in from) leftOut = await download(sandbox, from.path, to.path, user);
			else await upload(sandbox, from.path, to.path, user);
			for (const path of leftOut)
				process.stderr.write(`dormice: left out, as neither file nor directory: ${harmless(path)}\n`);
			if (options.json) printJson({ sandboxId: sandbox.id, leftOut });
		});
}
