/** How many times longer anything may take: a virtual machine in software is slow, and that is not what is tried. */
export const patience = { times: 1 };
