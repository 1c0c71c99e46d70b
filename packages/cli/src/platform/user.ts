import { readFileSync } from "node:fs";
import { DormiceError } from "@dormice/protocol";

/** The system user that the server and PostgreSQL run as. */
export const USER = "dormice";

export interface UserIds {
	uid: number;
	gid: number;
}

/** The ids of {@link USER}, or `undefined` before set-up has made it. */
export function findUser(): UserIds | undefined {
	const uid = numberOf("/etc/passwd", USER);
	const gid = numberOf("/etc/group", USER);
	return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

export function requireUser(): UserIds {
	const user = findUser();
	if (!user) throw new DormiceError("not_set_up", `There is no user "${USER}" yet; run: dormice setup`);
	return user;
}

/** The third field of the entry named `name`: the id, in both files. */
function numberOf(path: string, name: string): number | undefined {
	const entry = readFileSync(path, "utf8")
		.split("\n")
		.find((line) => line.startsWith(`${name}:`));
	return entry === undefined ? undefined : Number(entry.split(":")[2]);
}
