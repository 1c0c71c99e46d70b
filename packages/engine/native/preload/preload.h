// QEMU has become a machine, and opens the state that its guest goes on from.
void goes_on(void);
