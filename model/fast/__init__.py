"""Modules that compute the same as the plain ones, faster or in less memory."""
