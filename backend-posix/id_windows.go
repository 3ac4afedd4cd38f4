package posix

import (
	"os"

	"golang.org/x/sys/windows"
)

// idOf is what tells an open file from all others that are open.
func idOf(f *os.File) (fileID, error) {
	var d windows.ByHandleFileInformation
	err := windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &d)
	return fileID{uint64(d.VolumeSerialNumber), uint64(d.FileIndexHigh)<<32 | uint64(d.FileIndexLow)}, err
}
