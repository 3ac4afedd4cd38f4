module github.com/chronik-go/wal/backend-posix

go 1.26.0

require (
	github.com/chronik-go/wal/core v0.0.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
	golang.org/x/sys v0.49.0
	pgregory.net/rapid v1.3.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/chronik-go/wal/core => ../core
