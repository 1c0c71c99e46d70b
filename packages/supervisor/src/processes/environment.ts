import { DormiceError } from "@dormice/protocol";
import type { User } from "../users/users.ts";

/** Later sources win: the login's own, then the sandbox's, then the request's, then what nobody may change. */
export function buildEnvironment(sources: {
	path: string;
	user: User;
	sandbox: Readonly<Record<string, string>>;
	request: Readonly<Record<string, string>>;
	fixed: Readonly<Record<string, string>>;
}): string[] {
	const { path, user, sandbox, request, fixed } = sources;
	// Without a SHELL bash looks its user up at every start.
	const login = { PATH: path, HOME: user.home, USER: user.name, LOGNAME: user.name, SHELL: user.shell };
	return Object.entries({ ...login, ...sandbox, ...request, ...fixed }).map(([name, value]) => {
		if (name === "" || name.includes("=")) {
			throw new DormiceError("invalid_argument", `'${name}' cannot be the name of an environment variable`);
		}
		return `${name}=${value}`;
	});
}
