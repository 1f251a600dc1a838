"""Backs up, restores, rehearses and audits one installation, from the host itself: a schedule has no Ansible beside it."""
