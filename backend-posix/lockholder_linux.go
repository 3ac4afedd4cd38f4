package posix

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// lockHolder names the process that holds the flock on a descriptor's file, for the
// message; "" if /proc does not tell, as in another process namespace.
//
//	1: FLOCK  ADVISORY  WRITE 4711 fe:00:123456 0 EOF
func lockHolder(fd int) string {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return ""
	}
	dev := uint64(st.Dev)
	id := fmt.Sprintf("%02x:%02x:%d", unix.Major(dev), unix.Minor(dev), st.Ino)
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return ""
	}
	defer locks.Close()
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		field := strings.Fields(lines.Text())
		if len(field) < 6 || field[1] != "FLOCK" || field[5] != id {
			continue
		}
		if field[4] == fmt.Sprint(os.Getpid()) {
			return ": this process"
		}
		return ": process " + field[4]
	}
	return ""
}
