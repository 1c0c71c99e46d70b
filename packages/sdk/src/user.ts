/** The supervisor takes the user's name from Basic authorization, with an empty password. */
export function userHeaders(user: string | undefined): Record<string, string> {
	return user === undefined ? {} : { Authorization: `Basic ${btoa(`${user}:`)}` };
}
