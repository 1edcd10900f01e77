package native

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// startField is where the start time stands, counted from the state.
const startField = 22 - 3

// inspect reads the state of a process, and when it and its machine started.
func inspect(pid int) (state byte, start string, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", err
	}
	// The second field is the name in brackets and may hold blanks and brackets.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= startField {
		return 0, "", fmt.Errorf("/proc/%d/stat ends early: %q", pid, stat)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return 0, "", err
	}
	return fields[0][0], fmt.Sprintf("%s/%s", bytes.TrimSpace(boot), fields[startField]), nil
}

// threads counts what is left of a process.
func threads(pid int) int {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)) // gone is none
	return len(tasks)
}

// dieWithParent has the kernel kill a process when the thread that started it is gone.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
