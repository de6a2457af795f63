"""Tests of the client against S3 servers on the loopback interface."""
