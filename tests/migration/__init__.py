"""Tests that programs written for other clients go on working after the change to this one."""
