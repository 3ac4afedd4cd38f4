//go:build !linux

package posix

func lockHolder(int) string { return "" }
