//! Services, deployments, rolling upgrades, restarts and back-off.
