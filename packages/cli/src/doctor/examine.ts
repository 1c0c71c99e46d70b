import { existsSync } from "node:fs";
import { DormiceError, type engine } from "@dormice/protocol";
import type { Config } from "../config.ts";
import { engineClient, engineError, engineService } from "../platform/engine.ts";
import { Keeper } from "../platform/keeper.ts";
import type { PlatformPaths } from "../platform/paths.ts";
import { readRecord } from "../platform/record.ts";
import { recordPath } from "../platform/service.ts";
import { readVariables, type Variables } from "../platform/settings.ts";
import { requireUser } from "../platform/user.ts";
import { whyAutomatic } from "./automatic.ts";
import type { Check, Diagnosis, Driver } from "./check.ts";
import { hostChecks } from "./host.ts";

/** Booting a throw-away sandbox with each driver, the software-emulated one included. */
const PROBE_DEADLINE_MS = 120_000;

/** Looks at the host, then asks the engine to prove what it can run. */
export async function examine(paths: PlatformPaths, config: Config): Promise<Diagnosis> {
	const isRoot = process.getuid?.() === 0;
	const variables = isRoot ? readVariables(paths.variables, config.passedOn) : config.passedOn;
	const checks = hostChecks(paths, config.path, variables);
	const unmet = checks.filter(({ ok, required }) => required && !ok);
	if (unmet.length > 0) {
		return { ok: false, why: `missing: ${unmet.map(({ name }) => name).join(", ")}`, checks, drivers: [] };
	}
	try {
		const report = await probe(paths, config, variables);
		const drivers = report.drivers.map(toDriver);
		return {
			ok: report.isolation !== "",
			...(report.isolation === "" ? {} : { isolation: report.isolation }),
			why: whyAutomatic(drivers, report.isolation),
			checks,
			drivers,
		};
	} catch (error) {
		if (!(error instanceof DormiceError)) throw error;
		return { ok: false, why: error.message, checks, drivers: [] };
	}
}

/** Asks the engine that runs, or one that is started for the purpose. */
async function probe(paths: PlatformPaths, config: Config, variables: Variables): Promise<engine.ProbeResponse> {
	if (readRecord(recordPath(paths, "engine"))) return ask(paths);
	if (!existsSync(`${paths.guest}/current`)) {
		throw new DormiceError("not_set_up", "the platform is not set up yet; run: sudo dormice setup");
	}
	const service = engineService(paths, requireUser(), variables, config.path);
	const keeper = await Keeper.tryOpen(paths, [service], () => undefined);
	if (!keeper) throw new DormiceError("state_conflict", "the platform is just being started; try again in a moment");
	await using _keeper = keeper;
	await keeper.start(() => undefined);
	return await ask(paths);
}

async function ask(paths: PlatformPaths): Promise<engine.ProbeResponse> {
	try {
		return await engineClient(paths).probe({ run: true }, { timeoutMs: PROBE_DEADLINE_MS });
	} catch (error) {
		throw engineError(error);
	}
}

function toDriver(report: engine.DriverReport): Driver {
	const { isolation, usable, reason, version, acceleration } = report;
	const needs = report.needs.map(
		({ name, found, detail, remedy }): Check => ({
			name,
			ok: found,
			detail,
			...(remedy === "" ? {} : { remedy }),
			required: true,
		}),
	);
	return { isolation, usable, reason, version, ...(acceleration === "" ? {} : { acceleration }), needs };
}
