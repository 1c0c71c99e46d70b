import type { TemplateChange, TemplateSettings } from "@dormice/sdk";
import { Command, Option } from "commander";
import type { Config } from "../config.ts";
import { ISOLATION_WISHES, type IsolationWish, prepareFor } from "../isolation.ts";
import { duration, printJson, printLine, printTable } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { showProgress } from "../progress.ts";
import { connectTo, findTarget } from "../target.ts";
import { orDefault, orNull, parseDelay, parseNumber, parseWord, type TakenBack } from "../values.ts";

export function templateCommand(config: Config): Command {
	return new Command("template")
		.summary("list the templates, and see and change what they say")
		.description(
			"What sandboxes are made from, and what each says of its sandboxes where they do not say it themselves.",
		)
		.addHelpText(
			"after",
			"\nExamples:\n  dormice template list\n  dormice template show base\n  dormice template set base --sleep-after 60",
		)
		.addCommand(listCommand(config))
		.addCommand(showCommand(config))
		.addCommand(setCommand(config))
		.addCommand(prepareCommand(config));
}

function listCommand(config: Config): Command {
	return new Command("list")
		.summary("list the templates")
		.description("Lists the templates: what each sandbox made from them may use, and how many were made.")
		.addHelpText("after", "\nExample:\n  dormice template list")
		.action(async (options: CommonOptions) => {
			const found = await connectTo(findTarget(config, options.data)).templates.list();
			if (options.json) return printJson(found);
			printTable(
				["TEMPLATE", "ID", "STATUS", "PREPARED FOR", "CPUS", "MEMORY", "DISK", "MADE"],
				found.map((one) => [
					one.aliases[0] ?? "-",
					one.templateId,
					one.buildStatus,
					one.isolations.map(({ isolation, step }) => (step ? `${isolation} (${step})` : isolation)).join(", "),
					String(one.cpuCount),
					`${one.memoryMiB} MiB`,
					`${one.diskMiB} MiB`,
					String(one.spawnCount),
				]),
			);
		});
}

function showCommand(config: Config): Command {
	return new Command("show")
		.summary("show what a template says of its sandboxes")
		.description(
			"Shows how sandboxes made from a template rest and what of their histories they keep, and who says so.",
		)
		.argument("<template>", "alias or id")
		.addHelpText("after", "\nExample:\n  dormice template show base")
		.action(async (name: string, options: CommonOptions) => {
			print(await connectTo(findTarget(config, options.data)).templates.settings(name), options);
		});
}

interface SetOptions extends CommonOptions {
	isolation?: IsolationWish | TakenBack;
	doze?: "idle" | "always" | TakenBack;
	dozeAfter?: number | TakenBack;
	sleepAfter?: number | TakenBack;
	keepLast?: number | TakenBack;
	keepCheckpoints?: number | TakenBack;
	keepDaily?: number | TakenBack;
}

function setCommand(config: Config): Command {
	return new Command("set")
		.summary("change what a template says of its sandboxes")
		.description(
			"Changes what a template says. How its sandboxes rest counts for those made from now on, what they keep for those\n" +
				"there are, too. What a sandbox says itself wins. What is not named stays; `default` takes a setting back.",
		)
		.argument("<template>", "alias or id")
		.option(
			"--isolation <what>",
			"what keeps them apart: microvm, gvisor, or `auto`, the strongest to be had unasked",
			orDefault(parseWord(ISOLATION_WISHES)),
		)
		.option(
			"--doze <when>",
			"`always`: freeze them also while their processes wait; `idle`: not then",
			orDefault(parseWord(["idle", "always"])),
		)
		.option("--doze-after <s>", "seconds of quiet until one is frozen in RAM; 0: never", orDefault(parseDelay))
		.option("--sleep-after <s>", "seconds of that until it is put to sleep; 0: never", orDefault(parseDelay))
		.option("--keep-last <n>", "stored states kept of those made in passing", orDefault(parseNumber))
		.option("--keep-checkpoints <n>", "stored states kept of those somebody asked for", orDefault(parseNumber))
		.option("--keep-daily <n>", "days of which the newest stored state is kept", orDefault(parseNumber))
		.addHelpText(
			"after",
			`
Examples:
  dormice template set base --doze-after 5 --sleep-after 60
  dormice template set base --keep-daily 7 --keep-last default
  dormice template set base --isolation microvm`,
		)
		.action(async (name: string, options: SetOptions) => {
			print(await connectTo(findTarget(config, options.data)).templates.set(name, changeOf(options)), options);
		});
}

function prepareCommand(config: Config): Command {
	return new Command("prepare")
		.summary("make ready what sandboxes of an isolation start from")
		.description(
			"Boots and stores a template once for an isolation, which takes a while and is kept. The first sandbox of that\n" +
				"isolation would have it done, and wait.",
		)
		.argument("<template>", "alias or id")
		.addOption(
			new Option("--isolation <what>", "what sandboxes are to be kept apart by")
				.choices(ISOLATION_WISHES)
				.makeOptionMandatory(),
		)
		.addHelpText("after", "\nExample:\n  dormice template prepare base --isolation microvm")
		.action(async (name: string, options: CommonOptions & { isolation: IsolationWish }) => {
			const { templates } = connectTo(findTarget(config, options.data));
			await prepareFor(templates, name, options.isolation, showProgress());
			const isolation = await templates.prepare(name, { isolation: options.isolation });
			if (options.json) printJson({ template: name, isolation });
			else printLine(`${name} is ready for ${isolation}`);
		});
}

function changeOf(options: SetOptions): TemplateChange {
	const { isolation, doze, keepLast: last, keepCheckpoints: checkpoints, keepDaily: daily } = options;
	const given = <Name extends string, T>(name: Name, value: T | TakenBack | undefined) =>
		(value === undefined ? {} : { [name]: orNull(value) }) as { [name in Name]?: T | null };
	const milliseconds = (delay: number | TakenBack | undefined) => (typeof delay === "number" ? delay * 1000 : delay);
	return {
		...given("isolation", isolation),
		...given("doze", doze),
		...given("dozeAfterMs", milliseconds(options.dozeAfter)),
		...given("sleepAfterMs", milliseconds(options.sleepAfter)),
		retention: { ...given("last", last), ...given("checkpoints", checkpoints), ...given("daily", daily) },
	};
}

function print(template: TemplateSettings, { json }: CommonOptions): void {
	if (json) {
		printJson(template);
		return;
	}
	const { alias, templateId, settings, effective } = template;
	const row = <T>(name: string, own: T | undefined, value: T, text: (value: T) => string = String) => [
		name,
		text(value),
		own === undefined ? "platform" : "template",
	];
	const { retention: kept } = effective;
	printLine(`${alias} (${templateId})`);
	printTable(
		["SETTING", "VALUE", "SAID BY THE"],
		[
			row("isolation", settings.isolation, effective.isolation),
			row("doze", settings.doze, effective.doze),
			row("doze-after", settings.dozeAfterMs, effective.dozeAfterMs, delay),
			row("sleep-after", settings.sleepAfterMs, effective.sleepAfterMs, delay),
			row("keep-last", settings.retention.last, kept.last),
			row("keep-checkpoints", settings.retention.checkpoints, kept.checkpoints),
			row("keep-daily", settings.retention.daily, kept.daily),
		],
	);
}

function delay(ms: number): string {
	return ms === 0 ? "never" : duration(ms);
}
