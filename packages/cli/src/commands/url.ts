import { isIP } from "node:net";
import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson, printLine } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";
import { parsePort } from "../values.ts";

export function urlCommand(config: Config): Command {
	return new Command("url")
		.summary("the address of a port of a sandbox")
		.description(
			"Prints where a server in a sandbox is reached from outside. Does not wake it, and does not look whether there is one.",
		)
		.argument("<id>", "sandbox")
		.argument("<port>", "port that it listens on in there", parsePort)
		.addHelpText("after", "\nExample:\n  curl $(dormice url ID 3000)")
		.action(async (text: string, port: number, options: CommonOptions) => {
			const target = findTarget(config, options.data);
			const { sandboxes } = connectTo(target);
			const { id, info } = await sandboxes.get(await fullId(sandboxes, text));
			const url = addressOf({ id, port, domain: info.domain ?? undefined, platform: target.sandboxUrl });
			if (options.json) printJson({ sandboxId: id, port, url });
			else printLine(url);
		});
}

/** By the platform's own address, and by the domain that it says its sandboxes are below. */
export function addressOf(where: { id: string; port: number; domain: string | undefined; platform: string }): string {
	const { protocol, port, hostname } = new URL(where.platform);
	const [name = "localhost", own] = (where.domain ?? `${isIP(hostname) ? "localhost" : hostname}:${port}`).split(":");
	const number = own ?? port;
	return `${protocol}//${where.port}-${where.id}.${name}${number === "" ? "" : `:${number}`}/`;
}
