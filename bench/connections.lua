-- connections.lua - How many connections a second does a TCP server take in, answer once and see closed?
-- The server is that of echo_throughput; lib/echoload.c opens a connection for each message, 50 at once.
dofile "bench/echo_throughput.lua"
