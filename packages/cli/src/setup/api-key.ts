import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import type { PlatformPaths } from "../platform/paths.ts";
import { writeDurably } from "../platform/settings.ts";
import type { SetupStep } from "./step.ts";

/** The first API key. Its form is the one that every E2B client takes. */
export function apiKeyStep(paths: PlatformPaths): SetupStep {
	return {
		title: "Make an API key",
		isDone: () => existsSync(paths.apiKey),
		run: async () => writeDurably(paths.apiKey, `e2b_${randomBytes(20).toString("hex")}\n`, 0o600),
	};
}
