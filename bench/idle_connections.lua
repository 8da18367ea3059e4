-- idle_connections.lua - How much memory does a TCP server keep for each of 10,000 connections that are idle?
-- The server is that of echo_throughput; lib/echoload.c sends one message through each, and waits. What the kernel
-- keeps for sockets is not counted.
dofile "bench/echo_throughput.lua"
