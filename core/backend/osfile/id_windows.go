package osfile

import (
	"os"
	"syscall"
)

// idOf is what tells an open file from all others that are open.
func idOf(f *os.File) (any, error) {
	var d syscall.ByHandleFileInformation
	err := syscall.GetFileInformationByHandle(syscall.Handle(f.Fd()), &d)
	return [3]uint32{d.VolumeSerialNumber, d.FileIndexHigh, d.FileIndexLow}, err
}
