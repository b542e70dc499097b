package pgwire

import "golang.org/x/sys/unix"

// hungUp says that the peer of a socket sends nothing more or is gone.
func hungUp(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0
}
