// go.go - the same questions for Go: goroutines and channels; its echo server has a goroutine for each connection.
// usage: go QUESTION
package main

import (
	"bufio"
	"fmt"
	"math/rand"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

func say(name string, value float64, unit string) {
	fmt.Printf("%s\tgo\t%.3f\t%s\n", name, value, unit)
}

func rate(n int, start time.Time) float64 { return float64(n) / time.Since(start).Seconds() }

// A goroutine has no result: a channel of one each stands for it; a WaitGroup awaits a batch.
func taskSpawn() {
	const n, batch = 1000000, 10000
	start := time.Now()
	for i := 0; i < n; i++ {
		result := make(chan int, 1)
		go func(i int) { result <- i }(i)
		<-result
	}
	say("task_spawn.one", rate(n, start), "tasks/s")
	results := make([]int, batch)
	start = time.Now()
	for round := 0; round < n/batch; round++ {
		var group sync.WaitGroup
		group.Add(batch)
		for i := 0; i < batch; i++ {
			go func(i int) { results[i] = i; group.Done() }(i)
		}
		group.Wait()
	}
	say("task_spawn.batch", rate(n, start), "tasks/s")
}

func taskSwitch() {
	const n = 5000000
	for _, count := range []int{2, 1000} {
		var group sync.WaitGroup
		group.Add(count)
		start := time.Now()
		for i := 0; i < count; i++ {
			go func() {
				for turn := 0; turn < n/count; turn++ {
					runtime.Gosched()
				}
				group.Done()
			}()
		}
		group.Wait()
		say(fmt.Sprintf("task_switch.%d", count), rate(n, start), "switches/s")
	}
}

// Go's nearest to a future is a channel of one.
func taskAwait() {
	const n, tasks = 1000000, 1000
	next := make(chan chan int)
	start := time.Now()
	go func() {
		for i := 0; i < n; i++ {
			future := <-next
			future <- i
		}
	}()
	for i := 0; i < n; i++ {
		future := make(chan int, 1)
		next <- future
		<-future
	}
	say("task_await.one", rate(n, start), "awaits/s")
	rounds := make([][]chan int, n/tasks)
	for round := range rounds {
		rounds[round] = make([]chan int, tasks)
		for i := range rounds[round] {
			rounds[round][i] = make(chan int, 1)
		}
	}
	for i := 0; i < tasks; i++ {
		go func(i int) {
			for round := range rounds {
				<-rounds[round][i]
			}
		}(i)
	}
	runtime.Gosched()
	start = time.Now()
	for _, futures := range rounds {
		for i, future := range futures {
			future <- i
		}
		runtime.Gosched()
	}
	say("task_await.many", rate(n, start), "awaits/s")
}

func queuePingpong() {
	const n = 1000000
	a, b := make(chan int, 1), make(chan int, 1)
	go func() {
		for i := 0; i < n; i++ {
			b <- <-a
		}
	}()
	start := time.Now()
	for i := 0; i < n; i++ {
		a <- i
		<-b
	}
	say("queue_pingpong", rate(n, start), "roundtrips/s")
}

func peakBytes() float64 {
	status, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); fields[0] == "VmHWM:" {
			kib, _ := strconv.ParseFloat(fields[1], 64)
			return kib * 1024
		}
	}
	return 0
}

func timers() {
	const n = 1000000
	before, start := peakBytes(), time.Now()
	var group sync.WaitGroup
	group.Add(n)
	for i := 0; i < n; i++ {
		go func() { time.Sleep(time.Duration(rand.Float64() * 1e9)); group.Done() }()
	}
	group.Wait()
	say("timers.wall", time.Since(start).Seconds(), "s")
	say("timers.peak", (peakBytes()-before)/n, "bytes/task")
}

// A goroutine for each call, and 64 that await them; one after the other, a goroutine that takes calls from a channel.
func threadsCalls() {
	const n, inFlight = 1000000, 64
	var group sync.WaitGroup
	group.Add(inFlight)
	start := time.Now()
	for i := 0; i < inFlight; i++ {
		go func() {
			result := make(chan int, 1)
			for call := 0; call < n/inFlight; call++ {
				go func(call int) { result <- call }(call)
				<-result
			}
			group.Done()
		}()
	}
	group.Wait()
	say("threads_calls.64", rate(n, start), "calls/s")
	calls, results := make(chan int), make(chan int)
	go func() {
		for call := range calls {
			results <- call
		}
	}()
	start = time.Now()
	for call := 0; call < n; call++ {
		calls <- call
		<-results
	}
	close(calls)
	say("threads_calls.one", rate(n, start), "calls/s")
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

// As often as takes as long as one in Lua.
func fibs() (last int) {
	for i := 0; i < 16; i++ {
		last = fib(32)
	}
	return last
}

func threadsFib() {
	four := func() float64 {
		start := time.Now()
		for i := 0; i < 4; i++ {
			fibs()
		}
		return time.Since(start).Seconds()
	}
	inLine := four()
	var group sync.WaitGroup
	group.Add(8)
	start := time.Now()
	for i := 0; i < 8; i++ {
		go func() { fibs(); group.Done() }()
	}
	group.Wait()
	atOnce := time.Since(start).Seconds()
	say("threads_fib", (inLine+four())/atOnce, "times")
}

func threadsChannel() {
	const n = 1000000
	type message struct {
		i    int
		text string
	}
	channel := make(chan *message, 1024)
	start := time.Now()
	go func() {
		for i := 0; i < n; i++ {
			channel <- &message{i, "text"}
		}
		close(channel)
	}()
	for range channel {
	}
	say("threads_channel", rate(n, start), "messages/s")
}

func serve(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 65536)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err = conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// Prints its port.
func echo() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go serve(conn)
	}
}

func main() {
	questions := map[string]func(){"task_spawn": taskSpawn, "task_switch": taskSwitch, "task_await": taskAwait,
		"queue_pingpong": queuePingpong, "timers": timers, "echo_throughput": echo,
		"threads_calls": threadsCalls, "threads_fib": threadsFib, "threads_channel": threadsChannel}
	if len(os.Args) == 2 && questions[os.Args[1]] != nil {
		questions[os.Args[1]]() // others it is not asked
	}
}
