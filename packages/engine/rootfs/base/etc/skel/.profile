# Login shells; nothing here starts a process.
if [ -n "$PS1" ] && [ -f ~/.bashrc ]; then . ~/.bashrc; fi
