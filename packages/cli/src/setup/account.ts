import { run } from "../command.ts";
import { findUser, USER } from "../platform/user.ts";
import type { SetupStep } from "./step.ts";

/** The unprivileged user of the server and the database. */
export function accountStep(path: string): SetupStep {
	return {
		title: `Make the user ${USER}`,
		isDone: () => findUser() !== undefined,
		async run() {
			const env = { PATH: path };
			await run(["groupadd", "--force", "--system", USER], { env });
			if (findUser()) return;
			await run(
				[
					...["useradd", "--system", "--gid", USER, "--no-create-home"],
					...["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", USER],
				],
				{ env },
			);
		},
	};
}
