// files.go - the questions about files for Go: goroutines, whose system calls block a thread each.
// usage: files-go QUESTION
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const files, atOnce = 20000, 64

func say(name string, value float64, unit string) { fmt.Printf("%s\tgo\t%.0f\t%s\n", name, value, unit) }

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func every(f func(i int64)) float64 {
	var taken int64
	var group sync.WaitGroup
	start := time.Now()
	for w := 0; w < atOnce; w++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := atomic.AddInt64(&taken, 1); i <= files; i = atomic.AddInt64(&taken, 1) {
				f(i)
			}
		}()
	}
	group.Wait()
	return files / time.Since(start).Seconds()
}

func filesSmall() {
	base := os.Getenv("BENCH_FILES")
	if base == "" {
		base = "/dev/shm"
	}
	dir, err := os.MkdirTemp(base, "go-bench-")
	check(err)
	defer os.RemoveAll(dir)
	data := bytes.Repeat([]byte("x"), 4096)
	say("files_small.write", every(func(i int64) { check(os.WriteFile(fmt.Sprint(dir, "/", i), data, 0644)) }), "files/s")
	say("files_small.read", every(func(i int64) {
		got, err := os.ReadFile(fmt.Sprint(dir, "/", i))
		check(err)
		if len(got) != 4096 {
			panic("short")
		}
	}), "files/s")
}

func readAll(path string) (total int) {
	piece := make([]byte, 65536)
	for i := 0; i < 4; i++ {
		file, err := os.Open(path)
		check(err)
		for {
			n, err := file.Read(piece)
			total += n
			if err == io.EOF {
				break
			}
			check(err)
		}
		file.Close()
	}
	return
}

func filesRead(name, path string) {
	if path == "" {
		return
	}
	readAll(path)
	start := time.Now()
	say("files_read."+name, float64(readAll(path))/time.Since(start).Seconds()/1e6, "MB/s")
}

func count(path string) (n int) {
	file, err := os.Open(path)
	check(err)
	defer file.Close()
	for scanner := bufio.NewScanner(file); scanner.Scan(); n++ {
		_ = scanner.Text()
	}
	return
}

func main() {
	switch os.Args[1] {
	case "files_small":
		filesSmall()
	case "files_read":
		filesRead("disk", os.Getenv("BENCH_LARGE"))
		filesRead("memory", os.Getenv("BENCH_LARGE_MEMORY"))
	case "files_lines":
		count(os.Getenv("BENCH_LARGE"))
		start := time.Now()
		n := count(os.Getenv("BENCH_LARGE"))
		say("files_lines", float64(n)/time.Since(start).Seconds(), "lines/s")
	}
}
